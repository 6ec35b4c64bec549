output "replication_group_id" {
  description = "Name of the group, as alarms know it."
  value       = aws_elasticache_replication_group.this.id
}

output "url_secret_arn" {
  description = "Secret that holds the whole of RISKCAST_REDIS."
  value       = aws_secretsmanager_secret.url.arn
}
