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

variable "orchestrator" {
  description = "Who starts the steps: mwaa (Airflow, with its UI, backfills and retries per step) or scheduler (EventBridge Scheduler, one ECS task a pipeline, nearly free)."
  type        = string
  default     = "scheduler"

  validation {
    condition     = contains(["mwaa", "scheduler"], var.orchestrator)
    error_message = "Expected mwaa or scheduler."
  }
}

variable "pipelines" {
  description = "Pipelines as `riskcast docs` writes them: when, in AWS's cron and a time zone, and the command that runs the whole of it; the instant of the run stands as <aws.scheduler.scheduled-time>."
  type        = map(object({ schedule = string, timezone = string, command = list(string) }))

  validation {
    condition     = alltrue([for pipeline in values(var.pipelines) : can(regex("^(cron|rate)\\(.+\\)$", pipeline.schedule))])
    error_message = "A schedule is cron(...) with six fields or rate(...)."
  }
}

variable "paused" {
  description = "Whether nothing starts on its own; for the first deployment and for disaster recovery."
  type        = bool
  default     = false
}

variable "cluster" {
  description = "ECS cluster of the steps."
  type        = object({ name = string, arn = string })
}

variable "task_definitions" {
  description = "Task definitions of steps and pipelines, as the compute module gives them."
  type        = map(object({ family = string, arn = string }))
}

variable "role_arns" {
  description = "Roles of the tasks, which whoever starts one passes on."
  type        = list(string)
}

variable "log_group" {
  description = "Log group of the steps."
  type        = object({ name = string, arn = string })
}

variable "subnet_ids" {
  description = "Private subnets, two for MWAA."
  type        = list(string)
}

variable "vpc_id" {
  description = "VPC of MWAA."
  type        = string
}

variable "task_security_group_id" {
  description = "Security group that the tasks wear."
  type        = string
}

variable "bundle_bucket" {
  description = "Bucket of DAGs, plugins and requirements, filled by `make bundle` and `aws s3 sync`."
  type        = object({ name = string, arn = string })
}

variable "lake_bucket_arn" {
  description = "Bucket of the lake, where steps leave the proof that they have ended well."
  type        = string
}

variable "data_key_arn" {
  description = "KMS key of queues and bundle."
  type        = string
}


variable "alarm_topic_arn" {
  description = "Topic told of runs the scheduler could not start."
  type        = string
  default     = ""
}

variable "settings" {
  description = "RISKCAST_ settings that DAGs read; MWAA gets them from its start-up script."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.settings) : can(regex("^RISKCAST_[A-Z_]+$", key))])
    error_message = "Settings are named RISKCAST_..."
  }
}

variable "airflow" {
  description = "MWAA: version, class, the most workers, and whether its page is open to the internet (behind IAM) or to the VPC only."
  type = object({
    version = optional(string, "3.0.6")
    class   = optional(string, "mw1.small")
    workers = optional(number, 2)
    access  = optional(string, "PRIVATE_ONLY")
  })
  default = {}

  validation {
    condition     = contains(["PUBLIC_ONLY", "PRIVATE_ONLY"], var.airflow.access)
    error_message = "Access is PUBLIC_ONLY or PRIVATE_ONLY."
  }

  validation {
    condition     = tonumber(split(".", var.airflow.version)[0]) >= 3
    error_message = "The DAGs need Airflow 3."
  }
}

variable "mail_identity_arn" {
  description = "SES identity that Airflow may tell of failed tasks as; empty lets it send none."
  type        = string
  default     = ""
}
