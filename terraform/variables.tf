variable "name" {
  description = "Prefix of every name, such as riskcast-dev. It is also the value of the tag Project that the budget counts by."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,23}$", var.name))
    error_message = "The name must be 3 to 24 lower-case letters, digits or hyphens and begin with a letter."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

variable "production" {
  description = "Whether losing this environment would hurt: standby database and cache, a gateway per zone, protection against deletion."
  type        = bool
  default     = false
}

variable "orchestrator" {
  description = "Who starts the steps: mwaa or scheduler."
  type        = string
  default     = "scheduler"

  validation {
    condition     = contains(["mwaa", "scheduler"], var.orchestrator)
    error_message = "Expected mwaa or scheduler."
  }
}

variable "paused" {
  description = "Whether nothing starts on its own: true until the first history is loaded."
  type        = bool
  default     = true
}

variable "deployment" {
  description = "Who moves traffic between the colours: weighted (Riskcast's rollout) or native (ECS)."
  type        = string
  default     = "weighted"
}

variable "cidr" {
  description = "Addresses of the VPC."
  type        = string
  default     = "10.40.0.0/16"
}

variable "availability_zones" {
  description = "Zones, two at least."
  type        = list(string)
}

variable "domain" {
  description = "Domain under which the API, mlflow. and dashboard. answer."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate of the domain and of *.domain."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone of the domain; empty leaves the records to you."
  type        = string
  default     = ""
}

variable "allowed_cidrs" {
  description = "Addresses that may call."
  type        = set(string)
  default     = ["0.0.0.0/0"]
}

variable "image_tag" {
  description = "Git sha of the images: the tag CI pushed them under."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{7,64}$", var.image_tag))
    error_message = "Give a git sha: a tag that moves cannot be rolled back."
  }
}

variable "dashboard_command" {
  description = "Command of the dashboard's container; empty runs no dashboard."
  type        = list(string)
  default     = []
}

variable "source_settings" {
  description = "Settings of every role, as RISKCAST_ names: RISKCAST_SOURCE, what it asks for, and what else you choose, such as those of mail."
  type        = map(string)
  default     = { RISKCAST_SOURCE = "live" }

  validation {
    condition     = contains(keys(var.source_settings), "RISKCAST_SOURCE")
    error_message = "RISKCAST_SOURCE is missing."
  }
}

variable "source_keys" {
  description = "Keys of data vendors the steps are handed, by environment variable. A task does not start while one of its secrets is empty: name only those you fill."
  type        = set(string)
  default     = ["FRED_API_KEY"]
}

variable "mail_to" {
  description = "Addresses that alarms and the budget write to."
  type        = set(string)
}

variable "mail_identity_arn" {
  description = "Verified SES identity that mails are sent as; empty sends none but those of alarms."
  type        = string
  default     = ""
}

variable "mail_from" {
  description = "Sender of mails; of the identity."
  type        = string
  default     = ""

  validation {
    condition     = var.mail_identity_arn == "" || can(regex("^[^@\\s]+@[^@\\s]+$", var.mail_from))
    error_message = "An identity sends as an address: give mail_from."
  }
}

variable "budget_usd" {
  description = "Dollars a month."
  type        = number
}

variable "spark" {
  description = "EMR Serverless application: the most it may use at a time. Null makes none."
  type        = object({ cores = number, memory_gib = number })
  default     = null
}

variable "idle_hours" {
  description = "When the dashboard is stopped and started again; null lets it run."
  type        = object({ stop = string, start = string, timezone = string })
  default     = null
}

variable "github_repository" {
  description = "owner/name whose workflows push images and deploy; empty makes no roles."
  type        = string
  default     = ""
}

variable "github_environment" {
  description = "Environment of GitHub whose approval stands before the roles."
  type        = string
  default     = "production"
}

variable "oidc_provider_arn" {
  description = "GitHub's identity provider in this account, if there is one; empty makes it."
  type        = string
  default     = ""
}

variable "quicksight_principal_arn" {
  description = "QuickSight user or group that may read the data set of forecasts; empty makes none."
  type        = string
  default     = ""
}

variable "kept_days" {
  description = "Days overwritten objects, backups (35 at most) and logs are kept."
  type        = object({ objects = number, backups = number, logs = number })
  default     = { objects = 90, backups = 14, logs = 365 }

  validation {
    condition     = var.kept_days.backups <= 35
    error_message = "RDS keeps backups for 35 days at most."
  }
}
