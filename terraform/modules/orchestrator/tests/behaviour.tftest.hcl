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
  name                   = "riskcast-test"
  cluster                = { name = "riskcast-test", arn = "arn:aws:ecs:us-east-1:123456789012:cluster/riskcast-test" }
  task_definitions       = { market_daily = { family = "riskcast-test-market_daily", arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/riskcast-test-market_daily:7" } }
  role_arns              = ["arn:aws:iam::123456789012:role/a"]
  log_group              = { name = "steps", arn = "arn:aws:logs:us-east-1:123456789012:log-group:steps" }
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-1", "subnet-2"]
  task_security_group_id = "sg-1"
  bundle_bucket          = { name = "bundle", arn = "arn:aws:s3:::bundle" }
  lake_bucket_arn        = "arn:aws:s3:::lake"
  data_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/a"
  settings               = { RISKCAST_LAKE = "s3://lake", RISKCAST_SOURCE = "live" }
  pipelines = {
    market_daily = {
      schedule = "cron(5 22 ? * MON-FRI *)"
      timezone = "UTC"
      command  = ["riskcast", "run", "market_daily", "--days", "7", "--end", "<aws.scheduler.scheduled-time>"]
    }
  }
}

run "the_newest_revision_runs_at_the_instant_of_the_schedule" {
  command = apply

  assert {
    condition     = aws_scheduler_schedule.this["market_daily"].target[0].ecs_parameters[0].task_definition_arn == "arn:aws:ecs:us-east-1:123456789012:task-definition/riskcast-test-market_daily"
    error_message = "A schedule holds on to an old revision."
  }

  assert {
    condition     = jsondecode(aws_scheduler_schedule.this["market_daily"].target[0].input).containerOverrides[0].command[6] == "<aws.scheduler.scheduled-time>"
    error_message = "The instant of the schedule does not reach the step."
  }

  assert {
    condition     = length(aws_mwaa_environment.this) == 0
    error_message = "Two orchestrators would run everything twice."
  }
}

run "airflow_is_told_its_settings" {
  command = apply

  variables {
    orchestrator = "mwaa"
  }

  assert {
    condition     = length(aws_scheduler_schedule.this) == 0
    error_message = "Two orchestrators would run everything twice."
  }

  assert {
    condition     = strcontains(aws_s3_object.startup[0].content, "export RISKCAST_LAKE='s3://lake'")
    error_message = "The start-up script lacks a setting."
  }

  assert {
    condition     = aws_mwaa_environment.this[0].webserver_access_mode == "PRIVATE_ONLY"
    error_message = "Airflow's page must not be open by default."
  }
}

run "paused_starts_nothing" {
  command = plan

  variables {
    paused = true
  }

  assert {
    condition     = aws_scheduler_schedule.this["market_daily"].state == "DISABLED"
    error_message = "A paused environment runs."
  }
}

run "an_orchestrator_nobody_knows_is_refused" {
  command = plan

  variables {
    orchestrator = "cron"
  }

  expect_failures = [var.orchestrator]
}
