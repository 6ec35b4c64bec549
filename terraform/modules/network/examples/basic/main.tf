# The least that the module network asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "network" {
  source = "../.."

  name               = "riskcast-example"
  availability_zones = ["us-east-1a", "us-east-1b"]
  log_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/a"
}
