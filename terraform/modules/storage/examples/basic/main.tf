# The least that the module storage asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "storage" {
  source = "../.."

  name                   = "riskcast-example"
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
