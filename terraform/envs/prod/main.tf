# Airflow, two zones of everything that serves, nothing that can be deleted by mistake.

provider "aws" {
  region = var.region

  default_tags {
    tags = { Project = "riskcast-prod", ManagedBy = "terraform" }
  }
}

module "riskcast" {
  source = "../.."

  name               = "riskcast-prod"
  production         = true
  orchestrator       = "mwaa"
  cidr               = "10.50.0.0/16"
  availability_zones = ["${var.region}a", "${var.region}b"]
  domain             = var.domain
  certificate_arn    = var.certificate_arn
  zone_id            = var.zone_id
  image_tag          = var.image_tag
  mail_to            = var.mail_to
  mail_identity_arn  = var.mail_identity_arn
  mail_from          = var.mail_from
  budget_usd         = 1200
  paused             = var.paused
  github_repository  = var.github_repository
  github_environment = "prod"
  spark              = { cores = 16, memory_gib = 64 }
  kept_days          = { objects = 365, backups = 35, logs = 731 }
}
