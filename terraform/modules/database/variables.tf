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

variable "vpc_id" {
  description = "VPC of the database."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in two zones at least."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "A subnet group needs two zones."
  }
}

variable "task_security_group_id" {
  description = "Security group that may connect."
  type        = string
}

variable "data_key_arn" {
  description = "KMS key of the data, its backups and the password."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of the logs."
  type        = string
}

variable "instance_class" {
  description = "Size of the instance."
  type        = string
  default     = "db.t4g.micro"

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "An instance class begins with db."
  }
}

variable "engine_version" {
  description = "Major version of PostgreSQL; 15 and later carry pgvector."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^(1[5-9])(\\.\\d+)?$", var.engine_version))
    error_message = "Give a version from 15 to 19."
  }
}

variable "storage_gib" {
  description = "Storage to begin with and the most it may grow to, in GiB."
  type        = object({ first = number, most = number })
  default     = { first = 20, most = 100 }

  validation {
    condition     = var.storage_gib.first >= 20 && var.storage_gib.most > var.storage_gib.first
    error_message = "Begin with 20 GiB at least and allow more than that."
  }
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over."
  type        = bool
  default     = false
}

variable "backup_days" {
  description = "Days to which the database can be put back."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "RDS keeps backups for 1 to 35 days."
  }
}

variable "log_days" {
  description = "Days the database's logs are kept."
  type        = number
  default     = 365
}

variable "deletion_protection" {
  description = "Whether the instance refuses to be deleted; also decides on a last snapshot."
  type        = bool
  default     = true
}
