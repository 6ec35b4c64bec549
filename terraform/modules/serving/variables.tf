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
  description = "VPC of the services."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer."
  type        = list(string)
}

variable "private_subnet_ids" {
  description = "Subnets of the services."
  type        = list(string)
}

variable "task_security_group_id" {
  description = "Security group that services wear."
  type        = string
}

variable "cluster_arn" {
  description = "ECS cluster of the services."
  type        = string
}

variable "domain" {
  description = "Domain under which the API (itself), mlflow. and dashboard. answer."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.domain))
    error_message = "Give a domain such as risk.example.com."
  }
}

variable "certificate_arn" {
  description = "ACM certificate of the domain and of *.domain, in this region."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:", var.certificate_arn))
    error_message = "Give the ARN of an ACM certificate: nothing is served in the clear."
  }
}

variable "zone_id" {
  description = "Route 53 zone of the domain; empty leaves the records to you."
  type        = string
  default     = ""
}

variable "allowed_cidrs" {
  description = "Addresses that may call; the whole internet unless narrowed."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "Every entry must be a block of addresses."
  }
}

variable "requests_per_five_minutes" {
  description = "Requests one address may send in five minutes before the firewall answers 403."
  type        = number
  default     = 3000

  validation {
    condition     = var.requests_per_five_minutes >= 10
    error_message = "The firewall's smallest limit is 10."
  }
}

variable "deployment" {
  description = "Who moves traffic between the colours: weighted (the rollout of Riskcast, by weights of the load balancer) or native (ECS's own blue/green, for images only)."
  type        = string
  default     = "weighted"

  validation {
    condition     = contains(["weighted", "native"], var.deployment)
    error_message = "Expected weighted or native."
  }
}

variable "api" {
  description = "The model server: image by git sha, machine, and tasks per colour."
  type = object({
    image  = string
    cpu    = optional(number, 512)
    memory = optional(number, 2048)
    count  = optional(number, 1)
  })

  validation {
    condition     = can(regex("(:[0-9a-f]{7,64}|@sha256:[0-9a-f]{64})$", var.api.image))
    error_message = "Name the image by git sha or digest: a tag that moves cannot be rolled back."
  }
}

variable "services" {
  description = "Other long-running containers: what they run, where they answer (host below the domain, behind the login; empty: inside only), what they may touch."
  type = map(object({
    image       = string
    command     = list(string)
    port        = optional(number)
    host        = optional(string, "")
    health      = optional(string, "/health")
    cpu         = optional(number, 512)
    memory      = optional(number, 1024)
    count       = optional(number, 1)
    spot        = optional(bool, false)
    idle        = optional(bool, false)
    environment = optional(map(string), {})
    secrets     = optional(map(string), {})
    reads       = optional(list(string), [])
    writes      = optional(list(string), [])
    artifacts   = optional(bool, false)
    routes      = optional(bool, false)
  }))
  default = {}

  validation {
    condition     = alltrue([for service in values(var.services) : service.host == "" || service.port != null])
    error_message = "A service with a host needs a port."
  }

  validation {
    condition     = !anytrue([for name in keys(var.services) : contains(["blue", "green"], name)])
    error_message = "blue and green are the colours of the API."
  }
}

variable "product" {
  description = "Product the API serves, as the router names it."
  type        = string
  default     = "daily_risk"
}

variable "idle_hours" {
  description = "When services marked idle are stopped and started again, in cron of Application Auto Scaling; null lets them run."
  type        = object({ stop = string, start = string, timezone = string })
  default     = null
}

variable "settings" {
  description = "RISKCAST_ settings of every service; secrets excepted."
  type        = map(string)
}

variable "api_secrets" {
  description = "Secrets of the model server by environment variable: ARN, or ARN:key:: for one key of it."
  type        = map(string)
  default     = {}
}

variable "users" {
  description = "Whether to make a Cognito user pool for the people who may open the hosts; they are invited by hand."
  type        = bool
  default     = true
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

variable "bucket_arns" {
  description = "Buckets by role; lake and artifacts are used."
  type        = map(string)

  validation {
    condition     = alltrue([for role in ["lake", "artifacts"] : contains(keys(var.bucket_arns), role)])
    error_message = "The roles lake and artifacts are missing."
  }
}

variable "log_bucket" {
  description = "Bucket of the access logs."
  type        = string
}

variable "repository_arns" {
  description = "ECR repositories of the images."
  type        = list(string)
}

variable "data_key_arn" {
  description = "KMS key of the data."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of the logs."
  type        = string
}

variable "log_days" {
  description = "Days logs are kept."
  type        = number
  default     = 365
}

variable "deletion_protection" {
  description = "Whether load balancer and user pool refuse to be deleted."
  type        = bool
  default     = true
}
