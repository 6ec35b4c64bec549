# The least that the module orchestrator asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "orchestrator" {
  source = "../.."

  name                   = "riskcast-example"
  cluster                = { name = "riskcast-example", arn = "arn:aws:ecs:us-east-1:123456789012:cluster/riskcast-example" }
  task_definitions       = { market_daily = { family = "riskcast-example-market_daily", arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/riskcast-example-market_daily:7" } }
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
