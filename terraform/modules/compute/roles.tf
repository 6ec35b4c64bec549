data "aws_caller_identity" "this" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    # Against the confused deputy: only tasks of this account.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

# ---- what ECS does for a task: image, logs, secrets

data "aws_iam_policy_document" "execution" {
  # checkov:skip=CKV_AWS_356:ecr:GetAuthorizationToken knows no resource; the others name theirs.
  statement {
    sid       = "LogInToEcr"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # the action knows no resource
  }

  statement {
    sid       = "PullTheImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.repository_arn]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"] # the streams of this one group
  }

  dynamic "statement" {
    for_each = length(var.secrets) > 0 ? [1] : []

    content {
      sid     = "HandOverSecrets"
      actions = ["secretsmanager:GetSecretValue"]
      # ARN:key:: names one key of a secret; permission is on the secret.
      resources = distinct([for arn in flatten([for given in values(var.secrets) : values(given)]) : join(":", slice(split(":", arn), 0, 7))])
    }
  }

  statement {
    sid       = "OpenSecrets"
    actions   = ["kms:Decrypt"]
    resources = [var.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${data.aws_region.this.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-steps-execution"
  description        = "What ECS does to start a step"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# ---- what the step itself may do

data "aws_iam_policy_document" "task" {
  for_each = var.tasks

  dynamic "statement" {
    for_each = length(each.value.reads) + length(each.value.writes) > 0 ? [1] : []

    content {
      sid       = "ReadTables"
      actions   = ["s3:GetObject"]
      resources = [for folder in distinct(concat(each.value.reads, each.value.writes)) : "${var.lake_bucket_arn}/${folder}/*"]
    }
  }

  dynamic "statement" {
    for_each = length(each.value.reads) + length(each.value.writes) > 0 ? [1] : []

    content {
      sid       = "ListTables"
      actions   = ["s3:ListBucket"]
      resources = [var.lake_bucket_arn]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = flatten([for folder in distinct(concat(each.value.reads, each.value.writes)) : [folder, "${folder}/*"]])
      }
    }
  }

  # Deleting leaves a version that can be brought back; only a lifecycle rule ends versions.
  dynamic "statement" {
    for_each = length(each.value.writes) > 0 ? [1] : []

    content {
      sid       = "WriteTables"
      actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"]
      resources = [for folder in each.value.writes : "${var.lake_bucket_arn}/${folder}/*"]
    }
  }

  statement {
    sid       = "UseTheDataKeyForTheLake"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values = [
        "dynamodb.${data.aws_region.this.region}.amazonaws.com",
        "s3.${data.aws_region.this.region}.amazonaws.com",
      ]
    }
  }

  statement {
    sid       = "MountHome"
    actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    resources = [var.home.file_system_arn]

    condition {
      test     = "StringEquals"
      variable = "elasticfilesystem:AccessPointArn"
      values   = [var.home.access_point_arn]
    }
  }

  dynamic "statement" {
    for_each = contains(each.value.services, "mirror") ? [1] : []

    content {
      sid       = "MirrorForecasts"
      actions   = ["dynamodb:BatchWriteItem", "dynamodb:PutItem"]
      resources = [var.predictions_table_arn]
    }
  }

  dynamic "statement" {
    for_each = contains(each.value.services, "metrics") ? [1] : []

    content {
      # checkov:skip=CKV_AWS_356:cloudwatch:PutMetricData knows no resource; the namespace bounds it.
      sid       = "PublishMetrics"
      actions   = ["cloudwatch:PutMetricData"]
      resources = ["*"] # the action knows no resource; the condition bounds it

      condition {
        test     = "StringEquals"
        variable = "cloudwatch:namespace"
        values   = [var.metrics_namespace]
      }
    }
  }

  dynamic "statement" {
    for_each = local.moves[each.key] ? [1] : []

    content {
      sid       = "MoveTraffic"
      actions   = ["elasticloadbalancing:ModifyRule"]
      resources = [var.router.rule_arn]
    }
  }

  dynamic "statement" {
    for_each = local.moves[each.key] ? [1] : []

    content {
      # checkov:skip=CKV_AWS_356:Looking knows no resource; what changes something names its own.
      sid = "SeeTraffic"
      actions = [
        "cloudwatch:GetMetricData",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetHealth",
      ]
      resources = ["*"] # these actions know no resource
    }
  }

  dynamic "statement" {
    for_each = var.mail_identity_arn != "" && contains(each.value.services, "mail") ? [1] : []

    content {
      sid       = "SendMails"
      actions   = ["ses:SendEmail", "ses:SendRawEmail"] # the v2 call asks for both where the message is a whole one
      resources = [var.mail_identity_arn]
    }
  }
}

resource "aws_iam_role" "task" {
  for_each = var.tasks

  # A role's name has 64 characters at most, the longest step 40.
  name               = "${var.name}-${each.key}"
  description        = join(" ", each.value.command)
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "task" {
  for_each = var.tasks

  name   = "declared"
  role   = aws_iam_role.task[each.key].id
  policy = data.aws_iam_policy_document.task[each.key].json
}
