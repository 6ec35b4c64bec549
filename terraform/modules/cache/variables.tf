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
  description = "VPC of the cache."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "task_security_group_id" {
  description = "Security group that may connect."
  type        = string
}

variable "data_key_arn" {
  description = "KMS key of the values and of the secret."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of the logs."
  type        = string
}

variable "node_type" {
  description = "Size of each node."
  type        = string
  default     = "cache.t4g.micro"

  validation {
    condition     = startswith(var.node_type, "cache.")
    error_message = "A node type begins with cache."
  }
}

variable "replicas" {
  description = "Nodes that take over when the first is lost; 0 means a minute without online features while AWS replaces it."
  type        = number
  default     = 0

  validation {
    condition     = var.replicas >= 0 && var.replicas <= 5
    error_message = "Give 0 to 5 replicas."
  }
}

variable "token_version" {
  description = "Raise by one to change the token; the old one stays good until the next raise."
  type        = number
  default     = 1
}

variable "recovery_days" {
  description = "Days in which the deleted secret can be restored."
  type        = number
  default     = 30
}

variable "log_days" {
  description = "Days logs are kept."
  type        = number
  default     = 365
}
