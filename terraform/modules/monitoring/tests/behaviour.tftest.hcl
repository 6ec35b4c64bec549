mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  name          = "riskcast-test"
  mail_to       = ["ops@example.com"]
  log_key_arn   = "arn:aws:kms:us-east-1:123456789012:key/a"
  log_bucket    = "logs"
  cluster       = { name = "riskcast-test", arn = "arn:aws:ecs:us-east-1:123456789012:cluster/riskcast-test" }
  load_balancer = "app/a/1"
  target_groups = { blue = "targetgroup/blue/1", green = "targetgroup/green/1", mlflow = "targetgroup/mlflow/1" }
  database      = "riskcast-test"
  cache         = "riskcast-test"
  budget_usd    = 250
  metrics       = { namespace = "Riskcast", forecast_age = "ForecastAgeHours", drift = "DriftAlarm", loss = "RealisedLossRatio" }
}

run "every_alarm_is_told_and_names_the_runbook" {
  command = apply

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.metric : contains(alarm.alarm_actions, aws_sns_topic.alarms.arn) && strcontains(alarm.alarm_description, "runbook")])
    error_message = "An alarm rings unheard or helps nobody."
  }

  assert {
    condition     = alltrue([for name in ["p95", "forecast-stale", "drift", "unhealthy-blue", "unhealthy-green"] : contains(keys(aws_cloudwatch_metric_alarm.metric), name)])
    error_message = "An alarm is missing."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.metric["p95"].extended_statistic == "p95" && aws_cloudwatch_metric_alarm.metric["drift"].statistic == "Maximum"
    error_message = "A statistic stands in the wrong place."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.metric["forecast-stale"].treat_missing_data == "breaching"
    error_message = "Silence would count as a fresh forecast."
  }

  assert {
    condition     = length(aws_budgets_budget.this.notification) == 3
    error_message = "The budget warns at 80 %, at 100 % and by forecast."
  }
}

run "an_alarm_without_a_reader_is_refused" {
  command = plan

  variables {
    mail_to = []
  }

  expect_failures = [var.mail_to]
}
