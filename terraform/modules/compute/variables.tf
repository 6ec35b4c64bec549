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

variable "tasks" {
  description = "Steps and whole pipelines as `riskcast docs` writes them from their declarations: command, size, folders of the lake they read and write, and what else they use."
  type = map(object({
    command  = list(string)
    size     = string
    reads    = list(string)
    writes   = list(string)
    services = list(string)
  }))

  validation {
    condition     = alltrue([for task in values(var.tasks) : contains(["small", "large"], task.size)])
    error_message = "The size of a task is small or large."
  }

  validation {
    condition     = alltrue([for task in values(var.tasks) : alltrue([for service in task.services : contains(["mail", "metrics", "mirror", "online", "registry", "traffic", "vendors"], service)])])
    error_message = "Services of a task are among mail, metrics, mirror, online, registry, traffic, vendors."
  }
}

variable "image" {
  description = "Image of the steps with its tag, the git sha of its source."
  type        = string

  validation {
    condition     = can(regex("(:[0-9a-f]{7,64}|@sha256:[0-9a-f]{64})$", var.image))
    error_message = "Name the image by git sha or digest: a tag that moves cannot be rolled back."
  }
}

variable "sizes" {
  description = "Machine of each size: CPU units (1024 are one core), MiB of memory, GiB of disk."
  type        = map(object({ cpu = number, memory = number, disk = number }))
  default = {
    small = { cpu = 1024, memory = 4096, disk = 21 }
    large = { cpu = 4096, memory = 16384, disk = 40 }
  }

  validation {
    condition     = alltrue([for size in ["small", "large"] : contains(keys(var.sizes), size)])
    error_message = "Say what small and large are."
  }
}

variable "settings" {
  description = "RISKCAST_ settings of every step; secrets excepted."
  type        = map(string)

  validation {
    condition     = alltrue([for key in keys(var.settings) : startswith(key, "RISKCAST_")])
    error_message = "Settings are named RISKCAST_..."
  }
}

variable "secrets" {
  description = "Secrets a step is handed, by service and environment variable: ARN, or ARN:key:: for one key of it."
  type        = map(map(string))
  default     = {}
}

variable "router" {
  description = "What steps that move traffic are told and may change; null where nothing but ECS moves it."
  type        = object({ settings = map(string), rule_arn = string })
  default     = null
}

variable "lake_bucket_arn" {
  description = "Bucket of the lake."
  type        = string
}

variable "predictions_table_arn" {
  description = "DynamoDB table of the mirror."
  type        = string
}

variable "home" {
  description = "Shared files: file system and access point, as the storage module gives them."
  type = object({
    file_system_id   = string
    file_system_arn  = string
    access_point_id  = string
    access_point_arn = string
  })
}

variable "data_key_arn" {
  description = "KMS key of the data."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of the logs."
  type        = string
}

variable "repository_arn" {
  description = "ECR repository of the image."
  type        = string
}

variable "log_days" {
  description = "Days the steps' logs are kept."
  type        = number
  default     = 365
}

variable "metrics_namespace" {
  description = "Namespace of the metrics that steps publish."
  type        = string
  default     = "Riskcast"
}

variable "mail_identity_arn" {
  description = "SES identity that steps which send mails may send as; empty lets none send."
  type        = string
  default     = ""
}

variable "spark" {
  description = "EMR Serverless application for heavy ETL: the most it may use at a time. Null makes none; idle costs nothing."
  type        = object({ cores = number, memory_gib = number })
  default     = null

  validation {
    condition     = var.spark == null || try(var.spark.cores >= 4 && var.spark.memory_gib >= 16, false)
    error_message = "A driver and an executor need 4 cores and 16 GiB at least."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the Spark application."
  type        = list(string)
}

variable "task_security_group_id" {
  description = "Security group of the Spark application."
  type        = string
}
