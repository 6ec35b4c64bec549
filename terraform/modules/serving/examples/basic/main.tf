# The least that the module serving asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "serving" {
  source = "../.."

  name                   = "riskcast-example"
  vpc_id                 = "vpc-1"
  public_subnet_ids      = ["subnet-1", "subnet-2"]
  private_subnet_ids     = ["subnet-3", "subnet-4"]
  task_security_group_id = "sg-1"
  cluster_arn            = "arn:aws:ecs:us-east-1:123456789012:cluster/riskcast-example"
  domain                 = "risk.example.com"
  certificate_arn        = "arn:aws:acm:us-east-1:123456789012:certificate/a"
  api                    = { image = "repository/serving:0123abc" }
  settings               = { RISKCAST_LAKE = "s3://lake" }
  home = {
    file_system_id   = "fs-1"
    file_system_arn  = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-1"
    access_point_id  = "fsap-1"
    access_point_arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-1"
  }
  bucket_arns     = { lake = "arn:aws:s3:::lake", artifacts = "arn:aws:s3:::artifacts" }
  log_bucket      = "logs"
  repository_arns = ["arn:aws:ecr:us-east-1:123456789012:repository/serving"]
  data_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/a"
  log_key_arn     = "arn:aws:kms:us-east-1:123456789012:key/a"
  services = {
    mlflow = {
      image     = "repository/mlflow:0123abc"
      command   = ["mlflow", "server"]
      port      = 5050
      host      = "mlflow"
      artifacts = true
    }
    rollout = {
      image   = "repository/runner:0123abc"
      command = ["riskcast", "rollout", "watch"]
      routes  = true
    }
  }
}
