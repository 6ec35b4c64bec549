# Who starts the steps. Both ways start the same commands in the same task definitions.

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  account = data.aws_caller_identity.this.account_id
  region  = data.aws_region.this.region
  mwaa    = var.orchestrator == "mwaa" ? 1 : 0
  # Families without their revision: a deployment of new images needs no new policy.
  families = [
    for task in values(var.task_definitions) : "arn:${data.aws_partition.this.partition}:ecs:${local.region}:${local.account}:task-definition/${task.family}:*"
  ]
}

# What starting tasks takes, for either way.
data "aws_iam_policy_document" "start" {
  statement {
    sid       = "StartSteps"
    actions   = ["ecs:RunTask"]
    resources = local.families # any revision of exactly these families

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }

  statement {
    sid       = "TagWhatIsStarted"
    actions   = ["ecs:TagResource"]
    resources = ["arn:${data.aws_partition.this.partition}:ecs:${local.region}:${local.account}:task/${var.cluster.name}/*"]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }

  statement {
    sid       = "HandRolesToTasks"
    actions   = ["iam:PassRole"]
    resources = var.role_arns

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}
