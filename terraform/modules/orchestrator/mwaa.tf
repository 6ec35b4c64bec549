# Amazon MWAA: the DAGs of dags/ as they are; every step runs as an ECS task.

resource "aws_security_group" "airflow" {
  count = local.mwaa

  name        = "${var.name}-airflow"
  description = "Airflow: its own parts, and HTTPS outwards"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-airflow" })
}

# MWAA's scheduler, workers and database speak to each other on ports of its own choice.
resource "aws_vpc_security_group_ingress_rule" "airflow" {
  count = local.mwaa

  security_group_id            = aws_security_group.airflow[0].id
  description                  = "Airflow's own parts"
  referenced_security_group_id = aws_security_group.airflow[0].id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "airflow" {
  for_each = local.mwaa == 1 ? { https = 443, postgres = 5432 } : {}

  security_group_id = aws_security_group.airflow[0].id
  description       = "AWS services (${each.key})"
  cidr_ipv4         = "0.0.0.0/0" # MWAA's own database and queues lie in AWS's account
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

data "aws_iam_policy_document" "airflow_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "airflow" {
  # checkov:skip=CKV_AWS_356:Each "*" below is explained beside it; all but these are bounded by a condition or name their resource.
  count = local.mwaa

  source_policy_documents = [data.aws_iam_policy_document.start.json]

  statement {
    sid       = "FollowSteps"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = ["arn:${data.aws_partition.this.partition}:ecs:${local.region}:${local.account}:task/${var.cluster.name}/*"] # a task's id is drawn when it starts
  }

  statement {
    sid       = "FindSteps"
    actions   = ["ecs:ListTasks"]
    resources = ["*"] # the action knows no resource; the condition bounds it

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }

  statement {
    sid       = "DescribeTheDefinitionForReattaching"
    actions   = ["ecs:DescribeTaskDefinition"]
    resources = ["*"] # the action knows no resource
  }

  statement {
    sid       = "ShowLogsOfSteps"
    actions   = ["logs:GetLogEvents"]
    resources = ["${var.log_group.arn}:*"] # the streams of this one group
  }

  statement {
    sid       = "SeeThatStepsEndedWell"
    actions   = ["s3:GetObject"]
    resources = ["${var.lake_bucket_arn}/runs/*"]
  }

  statement {
    sid       = "SeeWhetherStepsEndedAtAll"
    actions   = ["s3:ListBucket"] # without it a missing manifest answers 403 instead of 404
    resources = [var.lake_bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["runs/*"]
    }
  }

  # Failed tasks are told by Airflow itself.
  dynamic "statement" {
    for_each = var.mail_identity_arn == "" ? [] : [1]

    content {
      sid       = "SendMails"
      actions   = ["ses:SendEmail", "ses:SendRawEmail"] # the v2 call asks for both where the message is a whole one
      resources = [var.mail_identity_arn]
    }
  }

  statement {
    sid       = "ReadTheBundle"
    actions   = ["s3:GetBucket*", "s3:GetObject*", "s3:List*"] # MWAA asks for these three families of reads
    resources = [var.bundle_bucket.arn, "${var.bundle_bucket.arn}/*"]
  }

  statement {
    sid       = "CheckPublicAccess"
    actions   = ["s3:GetAccountPublicAccessBlock"]
    resources = ["*"] # the action knows no resource
  }

  statement {
    sid = "WriteItsLogs"
    actions = [
      "logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:GetLogEvents",
      "logs:GetLogGroupFields", "logs:GetLogRecord", "logs:GetQueryResults", "logs:PutLogEvents",
    ]
    resources = ["arn:${data.aws_partition.this.partition}:logs:${local.region}:${local.account}:log-group:airflow-${var.name}-*"] # the groups MWAA makes for this environment
  }

  statement {
    sid       = "ReportItsHealth"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # the action knows no resource; the condition bounds it

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["AmazonMWAA"]
    }
  }

  statement {
    sid = "UseItsQueue"
    actions = [
      "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes",
      "sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:SendMessage",
    ]
    resources = ["arn:${data.aws_partition.this.partition}:sqs:${local.region}:*:airflow-celery-*"] # in an account of AWS that it names nowhere
  }

  statement {
    sid       = "UseTheDataKey"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"] # with and without plaintext
    resources = [var.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com", "sqs.${local.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "airflow" {
  count = local.mwaa

  name               = "${var.name}-airflow"
  description        = "Airflow starts and follows steps"
  assume_role_policy = data.aws_iam_policy_document.airflow_trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "airflow" {
  count = local.mwaa

  name   = "airflow"
  role   = aws_iam_role.airflow[0].id
  policy = data.aws_iam_policy_document.airflow[0].json
}

# Settings reach DAGs by the start-up script alone: MWAA has no environment variables of ours.
resource "aws_s3_object" "startup" {
  count = local.mwaa

  bucket     = var.bundle_bucket.name
  key        = "startup.sh"
  kms_key_id = var.data_key_arn
  tags       = var.tags
  content = join("\n", concat(
    ["#!/bin/sh", "# Written by Terraform from the outputs of this environment."],
    [for key in sort(keys(var.settings)) : "export ${key}='${var.settings[key]}'"],
    [""],
  ))
}

resource "aws_mwaa_environment" "this" {
  # checkov:skip=CKV2_AWS_66:airflow.access is PRIVATE_ONLY by default; the rule cannot see defaults inside an object.
  # checkov:skip=CKV_AWS_243:Log levels are set below for every kind of log.
  # checkov:skip=CKV_AWS_244:See CKV_AWS_243.
  # checkov:skip=CKV_AWS_242:See CKV_AWS_243.
  count = local.mwaa

  name                             = var.name
  airflow_version                  = var.airflow.version
  environment_class                = var.airflow.class
  min_workers                      = 1
  max_workers                      = var.airflow.workers
  execution_role_arn               = aws_iam_role.airflow[0].arn
  kms_key                          = var.data_key_arn
  source_bucket_arn                = var.bundle_bucket.arn
  dag_s3_path                      = "dags/"
  plugins_s3_path                  = "plugins.zip"
  requirements_s3_path             = "requirements.txt"
  startup_script_s3_path           = aws_s3_object.startup[0].key
  startup_script_s3_object_version = aws_s3_object.startup[0].version_id
  webserver_access_mode            = var.airflow.access
  weekly_maintenance_window_start  = "SUN:10:30"
  tags                             = var.tags

  airflow_configuration_options = {
    "core.dags_are_paused_at_creation" = var.paused ? "True" : "False"
    "core.max_active_runs_per_dag"     = "1"
  }

  network_configuration {
    subnet_ids         = slice(var.subnet_ids, 0, 2)
    security_group_ids = [aws_security_group.airflow[0].id]
  }

  logging_configuration {
    dag_processing_logs {
      enabled   = true
      log_level = "WARNING"
    }

    scheduler_logs {
      enabled   = true
      log_level = "WARNING"
    }

    task_logs {
      enabled   = true
      log_level = "INFO"
    }

    webserver_logs {
      enabled   = true
      log_level = "WARNING"
    }

    worker_logs {
      enabled   = true
      log_level = "INFO"
    }
  }

  depends_on = [aws_iam_role_policy.airflow]
}
