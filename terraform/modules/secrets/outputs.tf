output "data_key_arn" {
  description = "KMS key of everything that holds data."
  value       = aws_kms_key.data.arn
}

output "log_key_arn" {
  description = "KMS key of logs, alarms and the audit trail."
  value       = aws_kms_key.logs.arn
}

output "source_key_arns" {
  description = "Secret of each data vendor's key, by environment variable."
  value       = { for key, secret in aws_secretsmanager_secret.source_key : key => secret.arn }
}
