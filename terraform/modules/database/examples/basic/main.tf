# The least that the module database asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "database" {
  source = "../.."

  name                   = "riskcast-example"
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-1", "subnet-2"]
  task_security_group_id = "sg-1"
  data_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/a"
  log_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/a"
}
