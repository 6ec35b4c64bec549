# The whole of an environment, planned against a provider that only pretends.

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

  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:name-AbCdEf" }
  }

  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:us-east-1:123456789012:cluster/riskcast-test" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/family:7" }
  }

  mock_resource "aws_db_instance" {
    defaults = { master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds" }] }
  }
}

mock_provider "random" {}

variables {
  name               = "riskcast-test"
  availability_zones = ["us-east-1a", "us-east-1b"]
  domain             = "risk.example.com"
  certificate_arn    = "arn:aws:acm:us-east-1:123456789012:certificate/a"
  image_tag          = "0123abc"
  mail_to            = ["ops@example.com"]
  budget_usd         = 250
}

run "scheduler" {
  command = apply

  assert {
    condition     = output.settings.step.RISKCAST_LAKE == "s3://riskcast-test-lake-123456789012"
    error_message = "Steps are not told the lake's bucket."
  }

  assert {
    condition     = output.settings.rollout.RISKCAST_ROUTER == "alb"
    error_message = "The rollout is not told of the load balancer."
  }

  assert {
    condition     = output.urls.airflow == null
    error_message = "The scheduler has no page of Airflow."
  }
}

run "mwaa" {
  command = apply

  variables {
    orchestrator = "mwaa"
    production   = true
  }

  assert {
    condition     = output.urls.airflow != null
    error_message = "MWAA has a page."
  }
}

run "a_tag_that_moves_is_refused" {
  command = plan

  variables {
    image_tag = "latest"
  }

  expect_failures = [var.image_tag]
}
