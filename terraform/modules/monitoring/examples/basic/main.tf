# The least that the module monitoring asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "monitoring" {
  source = "../.."

  name          = "riskcast-example"
  mail_to       = ["ops@example.com"]
  log_key_arn   = "arn:aws:kms:us-east-1:123456789012:key/a"
  log_bucket    = "logs"
  cluster       = { name = "riskcast-example", arn = "arn:aws:ecs:us-east-1:123456789012:cluster/riskcast-example" }
  load_balancer = "app/a/1"
  target_groups = { blue = "targetgroup/blue/1", green = "targetgroup/green/1", mlflow = "targetgroup/mlflow/1" }
  database      = "riskcast-example"
  cache         = "riskcast-example"
  budget_usd    = 250
  metrics       = { namespace = "Riskcast", forecast_age = "ForecastAgeHours", drift = "DriftAlarm", loss = "RealisedLossRatio" }
}
