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

# ---- what ECS does for a service: image, logs, secrets

data "aws_iam_policy_document" "execution" {
  # checkov:skip=CKV_AWS_356:ecr:GetAuthorizationToken knows no resource; the others name theirs.
  statement {
    sid       = "LogInToEcr"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # the action knows no resource
  }

  statement {
    sid       = "PullImages"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = var.repository_arns
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [for group in aws_cloudwatch_log_group.this : "${group.arn}:*"] # the streams of these groups
  }

  dynamic "statement" {
    for_each = length(local.secrets) > 0 ? [1] : []

    content {
      sid     = "HandOverSecrets"
      actions = ["secretsmanager:GetSecretValue"]
      # ARN:key:: names one key of a secret; permission is on the secret.
      resources = distinct([for arn in local.secrets : join(":", slice(split(":", arn), 0, 7))])
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
  name               = "${var.name}-services-execution"
  description        = "What ECS does to start a service"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# ---- what the service itself may do

data "aws_iam_policy_document" "service" {
  # checkov:skip=CKV_AWS_356:Reading weights and metrics knows no resource; what changes something names its own.
  for_each = local.containers

  dynamic "statement" {
    for_each = length(each.value.reads) + length(each.value.writes) > 0 ? [1] : []

    content {
      sid     = "ReadTables"
      actions = ["s3:GetObject"]
      resources = [
        for folder in distinct(concat(each.value.reads, each.value.writes)) : "${var.bucket_arns["lake"]}/${folder == "*" ? "*" : "${folder}/*"}" # "*": replays read any table
      ]
    }
  }

  dynamic "statement" {
    for_each = length(each.value.reads) + length(each.value.writes) > 0 ? [1] : []

    content {
      sid       = "ListTables"
      actions   = ["s3:ListBucket"]
      resources = [var.bucket_arns["lake"]]
    }
  }

  dynamic "statement" {
    for_each = length(each.value.writes) > 0 ? [1] : []

    content {
      sid       = "WriteTables"
      actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"]
      resources = [for folder in each.value.writes : "${var.bucket_arns["lake"]}/${folder}/*"]
    }
  }

  dynamic "statement" {
    for_each = each.value.artifacts ? [1] : []

    content {
      sid       = "KeepArtifacts"
      actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      resources = ["${var.bucket_arns["artifacts"]}/mlflow/*"]
    }
  }

  dynamic "statement" {
    for_each = each.value.artifacts ? [1] : []

    content {
      sid       = "ListArtifacts"
      actions   = ["s3:ListBucket"]
      resources = [var.bucket_arns["artifacts"]]
    }
  }

  statement {
    sid       = "UseTheDataKeyForBuckets"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${data.aws_region.this.region}.amazonaws.com"]
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

  # A colour tells its streams when the other one has the traffic.
  dynamic "statement" {
    for_each = contains(keys(local.colours), each.key) ? [1] : []

    content {
      sid       = "SeeWhoServes"
      actions   = ["elasticloadbalancing:DescribeRules"]
      resources = ["*"] # the action knows no resource
    }
  }

  dynamic "statement" {
    for_each = each.value.routes ? [1] : []

    content {
      sid       = "MoveTraffic"
      actions   = ["elasticloadbalancing:ModifyRule"]
      resources = [aws_lb_listener_rule.api.arn]
    }
  }

  dynamic "statement" {
    for_each = each.value.routes ? [1] : []

    content {
      sid = "SeeTraffic"
      actions = [
        "cloudwatch:GetMetricData",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetHealth",
      ]
      resources = ["*"] # these actions know no resource
    }
  }
}

resource "aws_iam_role" "service" {
  for_each = local.containers

  name               = "${var.name}-service-${each.key}"
  description        = "The service ${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "service" {
  for_each = local.containers

  name   = "declared"
  role   = aws_iam_role.service[each.key].id
  policy = data.aws_iam_policy_document.service[each.key].json
}

# ---- ECS's own blue/green moves the weights itself

data "aws_iam_policy_document" "native_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

data "aws_iam_policy_document" "native" {
  # checkov:skip=CKV_AWS_356:Reading what is there knows no resource; what changes something names its own.
  statement {
    sid     = "MoveTraffic"
    actions = ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:ModifyRule", "elasticloadbalancing:RegisterTargets"]
    resources = [
      aws_lb_listener_rule.api.arn,
      aws_lb_target_group.this["blue"].arn,
      aws_lb_target_group.this["green"].arn,
    ]
  }

  statement {
    sid = "SeeTraffic"
    actions = [
      "elasticloadbalancing:DescribeListeners",
      "elasticloadbalancing:DescribeRules",
      "elasticloadbalancing:DescribeTargetGroups",
      "elasticloadbalancing:DescribeTargetHealth",
    ]
    resources = ["*"] # these actions know no resource
  }
}

resource "aws_iam_role" "native" {
  count = var.deployment == "native" ? 1 : 0

  name               = "${var.name}-native"
  description        = "ECS moves traffic between its own blue and green"
  assume_role_policy = data.aws_iam_policy_document.native_trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "native" {
  count = var.deployment == "native" ? 1 : 0

  name   = "move"
  role   = aws_iam_role.native[0].id
  policy = data.aws_iam_policy_document.native.json
}
