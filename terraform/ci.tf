# What a deployment by CI may do besides pushing images: move the idle colour to a new image, start
# the step that migrates, and shift traffic back when the smoke test fails. Plans and applies need a
# role of their own, made by hand with the state's bucket (docs/aws.md): a role that can change
# roles does not belong into what it changes.

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  ecs = "arn:${data.aws_partition.this.partition}:ecs:${data.aws_region.this.region}:${data.aws_caller_identity.this.account_id}"
}

data "aws_iam_policy_document" "deploy" {
  # checkov:skip=CKV_AWS_356:Describing and registering know no resource; what changes something names its own.
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
    sid       = "ShiftTraffic"
    actions   = ["elasticloadbalancing:ModifyRule"]
    resources = [module.serving.routing.rule_arn]
  }

  statement {
    sid       = "SeeTraffic"
    actions   = ["elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTargetHealth"]
    resources = ["*"] # these actions know no resource
  }
}

resource "aws_iam_role_policy" "deploy" {
  count = var.github_repository == "" ? 0 : 1

  name   = "deploy"
  role   = module.registry.push_role.name
  policy = data.aws_iam_policy_document.deploy.json
}
