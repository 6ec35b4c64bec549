variable "region" {
  description = "Region of everything."
  type        = string
  default     = "us-east-1"
}

variable "domain" {
  description = "Domain under which the API, mlflow. and dashboard. answer."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate of the domain and of *.domain, in the region."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone of the domain; empty leaves the records to you."
  type        = string
  default     = ""
}

variable "image_tag" {
  description = "Git sha of the images."
  type        = string
}

variable "mail_to" {
  description = "Addresses of alarms and budget."
  type        = set(string)
}

variable "mail_identity_arn" {
  description = "Verified SES identity that Riskcast's own mails are sent as; empty sends none."
  type        = string
  default     = ""
}

variable "mail_from" {
  description = "Sender of these mails."
  type        = string
  default     = ""
}

variable "github_repository" {
  description = "owner/name whose workflows push and deploy; empty makes no role."
  type        = string
  default     = ""
}

variable "paused" {
  description = "Whether nothing starts on its own: true until the first history is loaded."
  type        = bool
  default     = true
}
