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

variable "images" {
  description = "Images, one repository each: the role of the container that runs it."
  type        = set(string)
  default     = ["runner", "serving", "mlflow", "dashboard"]

  validation {
    condition     = alltrue([for image in var.images : can(regex("^[a-z][a-z0-9-]*$", image))])
    error_message = "An image is named in lower-case letters, digits and hyphens."
  }
}

variable "data_key_arn" {
  description = "KMS key of the images."
  type        = string
}

variable "kept_images" {
  description = "Images kept per repository: how far back a rollback can go."
  type        = number
  default     = 30

  validation {
    condition     = var.kept_images >= 5
    error_message = "Keep five images at least, or a rollback has nowhere to go."
  }
}

variable "github_repository" {
  description = "owner/name whose workflows may push images and deploy; empty makes no such role."
  type        = string
  default     = ""

  validation {
    condition     = var.github_repository == "" || can(regex("^[\\w.-]+/[\\w.-]+$", var.github_repository))
    error_message = "Give owner/name."
  }
}

variable "github_environment" {
  description = "Environment of GitHub whose approval the role asks for."
  type        = string
  default     = "production"
}

variable "oidc_provider_arn" {
  description = "GitHub's identity provider in this account, if there is one; empty makes it. An account can have only one."
  type        = string
  default     = ""
}

variable "force_destroy" {
  description = "Whether destroying the environment may delete repositories that hold images."
  type        = bool
  default     = false
}
