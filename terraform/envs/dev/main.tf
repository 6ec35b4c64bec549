# A place to try things: the scheduler instead of MWAA, one zone's gateway, one node of everything.

provider "aws" {
  region = var.region

  default_tags {
    tags = { Project = "riskcast-dev", ManagedBy = "terraform" }
  }
}

module "riskcast" {
  source = "../.."

  name               = "riskcast-dev"
  production         = false
  orchestrator       = "scheduler"
  availability_zones = ["${var.region}a", "${var.region}b"]
  domain             = var.domain
  certificate_arn    = var.certificate_arn
  zone_id            = var.zone_id
  image_tag          = var.image_tag
  mail_to            = var.mail_to
  mail_identity_arn  = var.mail_identity_arn
  mail_from          = var.mail_from
  budget_usd         = 250
  paused             = var.paused
  github_repository  = var.github_repository
  github_environment = "dev"
  idle_hours         = { stop = "cron(0 19 ? * MON-FRI *)", start = "cron(0 8 ? * MON-FRI *)", timezone = "America/New_York" }
  kept_days          = { objects = 14, backups = 3, logs = 30 }
}
