# EventBridge Scheduler: one task runs the whole pipeline in order. A step that fails ends the run;
# it is idempotent, so the next run, or the same command by hand, continues.

locals {
  schedules = var.orchestrator == "scheduler" ? var.pipelines : {}
  scheduled = length(local.schedules) > 0 ? 1 : 0
}

data "aws_iam_policy_document" "scheduler_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  count = local.scheduled

  source_policy_documents = [data.aws_iam_policy_document.start.json]

  statement {
    sid       = "KeepWhatCouldNotStart"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.unstarted[0].arn]
  }

  statement {
    sid       = "UseTheKeyOfTheQueue"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["sqs.${local.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "scheduler" {
  count = local.scheduled

  name               = "${var.name}-scheduler"
  description        = "Starts pipelines on time"
  assume_role_policy = data.aws_iam_policy_document.scheduler_trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  count = local.scheduled

  name   = "start"
  role   = aws_iam_role.scheduler[0].id
  policy = data.aws_iam_policy_document.scheduler[0].json
}

resource "aws_sqs_queue" "unstarted" {
  count = local.scheduled

  name                      = "${var.name}-unstarted"
  kms_master_key_id         = var.data_key_arn
  message_retention_seconds = 1209600 # 14 days, the longest
  tags                      = var.tags
}

resource "aws_cloudwatch_metric_alarm" "unstarted" {
  count = local.scheduled

  alarm_name          = "${var.name}-unstarted"
  alarm_description   = "The scheduler could not start a pipeline. Read the queue ${var.name}-unstarted; run the command by hand."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.unstarted[0].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
  ok_actions          = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
  tags                = var.tags
}

resource "aws_scheduler_schedule_group" "this" {
  count = local.scheduled

  name = var.name
  tags = var.tags
}

resource "aws_scheduler_schedule" "this" {
  for_each = local.schedules

  name                         = replace(each.key, "_", "-")
  group_name                   = aws_scheduler_schedule_group.this[0].name
  description                  = join(" ", each.value.command)
  schedule_expression          = each.value.schedule
  schedule_expression_timezone = each.value.timezone
  state                        = var.paused ? "DISABLED" : "ENABLED"
  kms_key_arn                  = var.data_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = var.cluster.arn
    role_arn = aws_iam_role.scheduler[0].arn
    # The instant of the schedule, not of the start: a late start does the same work.
    input = jsonencode({ containerOverrides = [{ name = "riskcast", command = each.value.command }] })

    ecs_parameters {
      # Without its revision: the newest one runs.
      task_definition_arn     = trimsuffix(var.task_definitions[each.key].arn, ":${reverse(split(":", var.task_definitions[each.key].arn))[0]}")
      launch_type             = "FARGATE"
      platform_version        = "LATEST"
      task_count              = 1
      enable_ecs_managed_tags = true
      propagate_tags          = "TASK_DEFINITION"

      network_configuration {
        assign_public_ip = false
        subnets          = var.subnet_ids
        security_groups  = [var.task_security_group_id]
      }
    }

    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 10
    }

    dead_letter_config {
      arn = aws_sqs_queue.unstarted[0].arn
    }
  }
}
