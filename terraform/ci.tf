# What a release by CI may do besides pushing images: start an image in the idle colour, and run the
# tasks that migrate and that move the traffic. Plans and applies need a role of their own, made by
# hand with the state's bucket (docs/aws.md): a role that can change roles does not belong into what it
# changes.

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  ecs = "arn:${data.aws_partition.this.partition}:ecs:${data.aws_region.this.region}:${data.aws_caller_identity.this.account_id}"
}

# What `riskcast release` has to know of this environment.
resource "aws_ssm_parameter" "site" {
  # checkov:skip=CKV_AWS_337:Names and ARNs, no secret.
  # checkov:skip=CKV2_AWS_34:See CKV_AWS_337.
  name        = "/${var.name}/site"
  description = "Where images are released: cluster, services, rule"
  type        = "String"
  tags        = local.tags
  value = jsonencode({
    cluster         = module.compute.cluster.name
    services        = module.serving.services
    families        = module.serving.task_families
    subnets         = module.network.private_subnet_ids
    security_groups = [module.network.task_security_group_id]
    rule            = module.serving.routing.rule_arn
    groups          = module.serving.routing.target_group_arns
    url             = module.serving.urls["api"]
  })
}

data "aws_iam_policy_document" "deploy" {
  # checkov:skip=CKV_AWS_356:Describing and registering know no resource; what changes something names its own.
  statement {
    sid       = "FindTheSite"
    actions   = ["ssm:GetParameter"]
    resources = [aws_ssm_parameter.site.arn]
  }

  # The rollout moves the traffic, and MLflow's image its schema: in tasks of their own.
  statement {
    sid       = "RunMoveAndMigration"
    actions   = ["ecs:RunTask"]
    resources = [for name in ["mlflow", "rollout"] : "${local.ecs}:task-definition/${module.serving.task_families[name]}:*" if contains(keys(module.serving.task_families), name)] # any revision of two families

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [module.compute.cluster.arn]
    }
  }

  statement {
    sid       = "FollowThem"
    actions   = ["ecs:DescribeTasks"]
    resources = ["${local.ecs}:task/${module.compute.cluster.name}/*"] # a task's id is drawn when it starts
  }

  statement {
    sid       = "MoveServices"
    actions   = ["ecs:DescribeServices", "ecs:UpdateService"]
    resources = [for service in values(module.serving.services) : "${local.ecs}:service/${module.compute.cluster.name}/${service}"]
  }

  statement {
    sid       = "NextRevision"
    actions   = ["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"]
    resources = ["*"] # these actions know no resource
  }

  statement {
    sid       = "HandRolesToTasks"
    actions   = ["iam:PassRole"]
    resources = concat(module.serving.role_arns, module.compute.role_arns)

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    sid       = "SeeTraffic"
    actions   = ["elasticloadbalancing:DescribeRules"]
    resources = ["*"] # the action knows no resource
  }
}

resource "aws_iam_role_policy" "deploy" {
  count = var.github_repository == "" ? 0 : 1

  name   = "deploy"
  role   = module.registry.push_role.name
  policy = data.aws_iam_policy_document.deploy.json
}
