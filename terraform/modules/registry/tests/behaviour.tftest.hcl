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
  name         = "riskcast-test"
  data_key_arn = "arn:aws:kms:us-east-1:123456789012:key/a"
}

run "tags_never_move" {
  command = apply

  assert {
    condition     = alltrue([for r in aws_ecr_repository.this : r.image_tag_mutability == "IMMUTABLE" && r.image_scanning_configuration[0].scan_on_push])
    error_message = "An image could be overwritten or go unscanned."
  }

  assert {
    condition     = output.push_role == null
    error_message = "Without a repository nobody may push."
  }
}

run "github_pushes_with_a_role" {
  command = apply

  variables {
    github_repository = "someone/riskcast"
  }

  assert {
    condition     = output.push_role.name == "riskcast-test-push" && length(aws_iam_openid_connect_provider.github) == 1
    error_message = "The workflows have no role."
  }
}

run "an_address_is_no_repository" {
  command = plan

  variables {
    github_repository = "https://github.com/a/b"
  }

  expect_failures = [var.github_repository]
}
