# The least that the module registry asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "registry" {
  source = "../.."

  name         = "riskcast-example"
  data_key_arn = "arn:aws:kms:us-east-1:123456789012:key/a"
}
