# Heavy ETL. Starts with a job, stops five minutes after the last, costs nothing between.

locals {
  spark = var.spark == null ? 0 : 1
}

resource "aws_emrserverless_application" "this" {
  count = local.spark

  name          = var.name
  type          = "spark"
  release_label = "emr-7.5.0"
  architecture  = "ARM64"
  tags          = var.tags

  auto_start_configuration {
    enabled = true
  }

  auto_stop_configuration {
    enabled              = true
    idle_timeout_minutes = 5
  }

  maximum_capacity {
    cpu    = "${var.spark.cores} vCPU"
    memory = "${var.spark.memory_gib} GB"
  }

  network_configuration {
    subnet_ids         = var.subnet_ids
    security_group_ids = [var.task_security_group_id]
  }
}

data "aws_iam_policy_document" "spark_trust" {
  count = local.spark

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["emr-serverless.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_emrserverless_application.this[0].arn]
    }
  }
}

data "aws_iam_policy_document" "spark" {
  count = local.spark

  statement {
    sid       = "ReadTheLake"
    actions   = ["s3:GetObject"]
    resources = [for layer in ["bronze", "silver", "gold"] : "${var.lake_bucket_arn}/${layer}/*"]
  }

  statement {
    sid       = "ListTheLake"
    actions   = ["s3:ListBucket"]
    resources = [var.lake_bucket_arn]
  }

  statement {
    sid       = "WriteWhatIsDerived"
    actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"]
    resources = [for layer in ["silver", "gold"] : "${var.lake_bucket_arn}/${layer}/*"]
  }

  statement {
    sid       = "UseTheDataKeyForTheLake"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${data.aws_region.this.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "spark" {
  count = local.spark

  name               = "${var.name}-spark"
  description        = "Jobs of the Spark application"
  assume_role_policy = data.aws_iam_policy_document.spark_trust[0].json
  tags               = var.tags
}

resource "aws_iam_role_policy" "spark" {
  count = local.spark

  name   = "lake"
  role   = aws_iam_role.spark[0].id
  policy = data.aws_iam_policy_document.spark[0].json
}
