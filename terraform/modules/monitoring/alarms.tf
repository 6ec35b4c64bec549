# Alarms by metric: each says what is wrong in words, when, and where the runbook is.

locals {
  colours = { for slot in ["blue", "green"] : slot => var.target_groups[slot] if contains(keys(var.target_groups), slot) }
  front   = { LoadBalancer = var.load_balancer }
  # Metrics of one series. A forecast's age that is missing for five days, longer than any run of
  # closed ones, is an alarm too: a monitor that fell silent is no good news.
  alarms = merge(
    {
      p95 = {
        text       = "95 % of answers take longer than ${var.limits.p95_seconds} s", namespace = "AWS/ApplicationELB", metric = "TargetResponseTime",
        dimensions = local.front, statistic = "p95", period = 300, periods = 3, above = var.limits.p95_seconds, missing = "notBreaching",
      }
      front-5xx = {
        text       = "The load balancer itself answers with 5xx: no server of the active colour is alive", namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count",
        dimensions = local.front, statistic = "Sum", period = 300, periods = 1, above = 5, missing = "notBreaching",
      }
      forecast-stale = {
        text       = "The newest forecast is older than ${var.limits.forecast_hours} h", namespace = var.metrics.namespace, metric = var.metrics.forecast_age,
        dimensions = { Product = "daily_risk" }, statistic = "Minimum", period = 86400, periods = 5, above = var.limits.forecast_hours, missing = "breaching",
      }
      drift = {
        text       = "Inputs have drifted beyond their own history", namespace = var.metrics.namespace, metric = var.metrics.drift,
        dimensions = { Product = "daily_risk" }, statistic = "Maximum", period = 86400, periods = 1, above = 0, missing = "notBreaching",
      }
      database-cpu = {
        text       = "The database is busy", namespace = "AWS/RDS", metric = "CPUUtilization",
        dimensions = { DBInstanceIdentifier = var.database }, statistic = "Average", period = 300, periods = 6, above = 80, missing = "breaching",
      }
      cache-memory = {
        text       = "The online store runs out of memory", namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage",
        dimensions = { ReplicationGroupId = var.cache }, statistic = "Maximum", period = 300, periods = 3, above = 80, missing = "notBreaching",
      }
    },
    {
      for slot, group in local.colours : "unhealthy-${slot}" => {
        text       = "A server of the colour ${slot} is not alive", namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount",
        dimensions = { LoadBalancer = var.load_balancer, TargetGroup = group }, statistic = "Maximum", period = 60, periods = 5, above = 0, missing = "notBreaching",
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "metric" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.text}. Runbook: ${var.runbook}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  period              = each.value.period
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-5xx"
  alarm_description   = "More than ${var.limits.errors_percent} % of answers are 5xx. Runbook: ${var.runbook}"
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.limits.errors_percent
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "5xx in percent"
    expression  = "IF(requests > 20, 100 * failed / requests, 0)" # of a handful of requests no share can be told
    return_data = true
  }

  metric_query {
    id = "failed"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "HTTPCode_Target_5XX_Count"
      dimensions  = local.front
      period      = 300
      stat        = "Sum"
    }
  }

  metric_query {
    id = "requests"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "RequestCount"
      dimensions  = local.front
      period      = 300
      stat        = "Sum"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "database_full" {
  alarm_name          = "${var.name}-database-full"
  alarm_description   = "Less than 4 GiB are left to the database. Runbook: ${var.runbook}"
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = { DBInstanceIdentifier = var.database }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "LessThanThreshold"
  threshold           = 4294967296 # bytes
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}

locals {
  widgets = [
    { title = "Requests and 5xx", stat = "Sum", metrics = [for metric in ["RequestCount", "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] : ["AWS/ApplicationELB", metric, "LoadBalancer", var.load_balancer]] },
    { title = "Seconds to answer (p95)", stat = "p95", metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.load_balancer]] },
    { title = "Requests by colour", stat = "Sum", metrics = [for slot, group in local.colours : ["AWS/ApplicationELB", "RequestCount", "TargetGroup", group, "LoadBalancer", var.load_balancer, { label = slot }]] },
    { title = "Age of the newest forecast (hours)", stat = "Minimum", metrics = [[var.metrics.namespace, var.metrics.forecast_age, "Product", "daily_risk"]] },
    { title = "Drift and realised loss", stat = "Maximum", metrics = [for metric in [var.metrics.drift, var.metrics.loss] : [var.metrics.namespace, metric, "Product", "daily_risk"]] },
    { title = "Steps running", stat = "Maximum", metrics = [["ECS/ContainerInsights", "TaskCount", "ClusterName", var.cluster.name]] },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for index, widget in local.widgets : {
        type   = "metric"
        x      = 12 * (index % 2)
        y      = 6 * floor(index / 2)
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = local.region
          stat    = widget.stat
          period  = 300
          metrics = widget.metrics
        }
      }
    ]
  })
}
