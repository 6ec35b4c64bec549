variable "name" {
  description = "Prefix of every name, such as riskcast-dev."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,23}$", var.name))
    error_message = "The name must be 3 to 24 lower-case letters, digits or hyphens and begin with a letter."
  }
}

variable "tags" {
  description = "Tags of every resource, besides the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "mail_to" {
  description = "Addresses that alarms and the budget write to; each must confirm once."
  type        = set(string)

  validation {
    condition     = length(var.mail_to) > 0 && alltrue([for address in var.mail_to : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "Give one address at least: an alarm nobody reads is none."
  }
}

variable "log_key_arn" {
  description = "KMS key of topic and trail."
  type        = string
}

variable "log_bucket" {
  description = "Bucket of the audit trail."
  type        = string
}

variable "data_bucket_arns" {
  description = "Buckets whose reads and writes the audit trail records object by object."
  type        = list(string)
  default     = []
}

variable "cluster" {
  description = "ECS cluster whose failed tasks are told."
  type        = object({ name = string, arn = string })
}

variable "load_balancer" {
  description = "Load balancer, as metrics name it."
  type        = string
}

variable "target_groups" {
  description = "Target groups by service, as metrics name them."
  type        = map(string)
}

variable "database" {
  description = "RDS instance."
  type        = string
}

variable "cache" {
  description = "ElastiCache group."
  type        = string
}

variable "limits" {
  description = "When alarms ring: p95 of answers in seconds, answers with 5xx in percent, age of the newest forecast in hours."
  type = object({
    p95_seconds    = optional(number, 0.5)
    errors_percent = optional(number, 1)
    forecast_hours = optional(number, 80) # Friday's forecast on Tuesday morning after a holiday is 84 hours old
  })
  default = {}

  validation {
    condition     = var.limits.p95_seconds > 0 && var.limits.errors_percent > 0 && var.limits.forecast_hours > 0
    error_message = "Limits are above 0."
  }
}

variable "metrics" {
  description = "Namespace and names of the metrics that Riskcast publishes by product, as `riskcast docs` writes them."
  type        = object({ namespace = string, forecast_age = string, drift = string, loss = string })
}

variable "budget_usd" {
  description = "Dollars a month; told at 80 % spent, 100 % spent, and 100 % forecast."
  type        = number

  validation {
    condition     = var.budget_usd > 0
    error_message = "The budget is above 0."
  }
}

variable "runbook" {
  description = "Address of the runbook that every alarm names."
  type        = string
  default     = "docs/runbook.md"
}
