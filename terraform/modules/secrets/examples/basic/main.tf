# The least that the module secrets asks for. Identifiers are examples.

terraform {
  required_version = ">= 1.11"
}

provider "aws" {
  region = "us-east-1"
}

module "secrets" {
  source = "../.."

  name = "riskcast-example"
}
