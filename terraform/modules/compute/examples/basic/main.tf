# The least that the module compute asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "compute" {
  source = "../.."

  name                   = "riskcast-example"
  image                  = "123456789012.dkr.ecr.us-east-1.amazonaws.com/riskcast-example/runner:0123abc"
  settings               = { RISKCAST_LAKE = "s3://lake" }
  lake_bucket_arn        = "arn:aws:s3:::lake"
  predictions_table_arn  = "arn:aws:dynamodb:us-east-1:123456789012:table/predictions"
  data_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/a"
  log_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/a"
  repository_arn         = "arn:aws:ecr:us-east-1:123456789012:repository/runner"
  subnet_ids             = ["subnet-1"]
  task_security_group_id = "sg-1"
  home = {
    file_system_id   = "fs-1"
    file_system_arn  = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-1"
    access_point_id  = "fsap-1"
    access_point_arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-1"
  }
  secrets = { online = { RISKCAST_REDIS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:redis-a" } }
  tasks = {
    market_daily-features = {
      command  = ["riskcast", "run", "market_daily", "features"]
      size     = "small"
      reads    = ["silver/curated.market_daily"]
      writes   = ["gold/features_daily"]
      services = []
    }
    market_daily-materialise = {
      command  = ["riskcast", "run", "market_daily", "materialise"]
      size     = "large"
      reads    = ["published"]
      writes   = []
      services = ["online"]
    }
  }
}
