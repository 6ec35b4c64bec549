# Bucket and key are given at init, see docs/aws.md: terraform init -backend-config=backend.hcl
terraform {
  backend "s3" {
    key          = "riskcast/prod/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
