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
  name = "riskcast-test"
}

run "keys_rotate_and_data_is_parted_from_logs" {
  command = apply

  assert {
    condition     = aws_kms_key.data.enable_key_rotation && aws_kms_key.logs.enable_key_rotation
    error_message = "Keys must rotate."
  }

  assert {
    condition     = output.data_key_arn != output.log_key_arn
    error_message = "Whoever reads logs may not read data."
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.source_key : secret.kms_key_id == aws_kms_key.data.arn])
    error_message = "Secrets must lie under the data key."
  }
}

run "a_recovery_the_service_does_not_know_is_refused" {
  command = plan

  variables {
    recovery_days = 3
  }

  expect_failures = [var.recovery_days]
}
