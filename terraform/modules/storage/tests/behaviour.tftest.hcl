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
  data_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/a"
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-1", "subnet-2"]
  task_security_group_id = "sg-1"
  catalog = {
    features_daily = {
      description = "Features"
      location    = "gold/features_daily"
      format      = "delta"
      columns     = [{ name = "date", type = "date", comment = "Session." }]
    }
    published_predictions_daily = {
      description = "Forecasts"
      location    = "published/predictions_daily"
      format      = "parquet"
      columns = [
        { name = "rv_5d_hat", type = "double", comment = "Forecast." },
        { name = "top_drivers", type = "array<string>", comment = "Drivers." },
      ]
    }
  }
}

run "every_bucket_is_private_versioned_and_encrypted" {
  command = apply

  assert {
    condition     = length(aws_s3_bucket.this) == 5 && length(aws_s3_bucket_versioning.this) == 5 && length(aws_s3_bucket_policy.this) == 5
    error_message = "A bucket lacks versions or the policy that refuses plain HTTP."
  }

  assert {
    condition     = alltrue([for block in aws_s3_bucket_public_access_block.this : block.block_public_policy && block.restrict_public_buckets])
    error_message = "A bucket could be opened to everybody."
  }

  assert {
    condition     = length(aws_s3_bucket_logging.data) == 4
    error_message = "Every bucket but the logs' own is logged."
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this["lake"].rule) == 1
    error_message = "Current objects of the lake must never expire."
  }
}

run "tables_are_registered_by_their_format" {
  command = apply

  assert {
    condition     = aws_glue_catalog_table.this["features_daily"].parameters["table_type"] == "DELTA"
    error_message = "A Delta table must be read through its log."
  }

  assert {
    condition     = aws_glue_catalog_table.this["published_predictions_daily"].parameters["storage.location.template"] == "s3://riskcast-test-lake-123456789012/published/predictions_daily/year=$${year}"
    error_message = "Years are not found by projection."
  }

  assert {
    condition     = length(aws_quicksight_data_set.forecasts) == 0
    error_message = "Without a reader there is no data set."
  }
}

run "quicksight_reads_one_data_set_without_lists" {
  command = apply

  variables {
    quicksight_principal_arn = "arn:aws:quicksight:us-east-1:123456789012:user/default/a"
  }

  assert {
    condition     = length(aws_quicksight_data_set.forecasts) == 1
    error_message = "The data set is missing."
  }
}

run "a_format_nobody_reads_is_refused" {
  command = plan

  variables {
    catalog = { a = { description = "", location = "a", format = "csv", columns = [] } }
  }

  expect_failures = [var.catalog]
}
