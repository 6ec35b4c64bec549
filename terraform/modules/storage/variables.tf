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

variable "data_key_arn" {
  description = "KMS key of buckets, tables and files."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the shared files."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, one mount target of the shared files in each."
  type        = list(string)
}

variable "task_security_group_id" {
  description = "Security group that may mount the shared files."
  type        = string
}

variable "catalog" {
  description = "Tables as `riskcast aws catalog` writes them from their declarations: folder below the lake, format (delta or parquet) and columns in order."
  type = map(object({
    description = string
    location    = string
    format      = string
    columns     = list(object({ name = string, type = string, comment = string }))
  }))
  default = {}

  validation {
    condition     = alltrue([for table in values(var.catalog) : contains(["delta", "parquet"], table.format)])
    error_message = "The format of a table is delta or parquet."
  }
}

variable "noncurrent_days" {
  description = "Days an overwritten or deleted object can still be brought back."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_days >= 7
    error_message = "Keep overwritten objects for a week at least: a mistake needs that long to be seen."
  }
}

variable "log_days" {
  description = "Days access logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = var.log_days >= 30
    error_message = "Keep access logs for 30 days at least."
  }
}

variable "scan_limit_bytes" {
  description = "Bytes one Athena query may read before it is stopped: 10 GiB cost 0.05 USD."
  type        = number
  default     = 10737418240

  validation {
    condition     = var.scan_limit_bytes >= 10485760
    error_message = "Athena's smallest limit is 10 MiB."
  }
}

variable "quicksight_principal_arn" {
  description = "QuickSight user or group that may read the data set of forecasts; empty makes no data set."
  type        = string
  default     = ""
}

variable "force_destroy" {
  description = "Whether destroying the environment may delete buckets that hold objects. Never in production."
  type        = bool
  default     = false
}
