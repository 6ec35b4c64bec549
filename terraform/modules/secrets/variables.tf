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

variable "source_keys" {
  description = "Keys of data vendors by environment variable; each becomes an empty secret that a person fills, so that no value is ever in the state."
  type        = set(string)
  default     = ["FRED_API_KEY", "TIINGO_API_KEY", "ALPHAVANTAGE_API_KEY", "STOOQ_API_KEY"]

  validation {
    condition     = alltrue([for key in var.source_keys : can(regex("^[A-Z][A-Z0-9_]+$", key))])
    error_message = "Every source key must be the name of an environment variable."
  }
}

variable "recovery_days" {
  description = "Days in which a deleted secret can be restored; 0 deletes at once, which only a throw-away environment wants."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "Recovery takes 0 or 7 to 30 days."
  }
}
