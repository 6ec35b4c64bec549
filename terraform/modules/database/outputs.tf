output "identifier" {
  description = "Name of the instance, as alarms know it."
  value       = aws_db_instance.this.identifier
}

output "host" {
  description = "Address of the instance."
  value       = aws_db_instance.this.address
}

output "database" {
  description = "Name of the database."
  value       = aws_db_instance.this.db_name
}

output "password_secret_arn" {
  description = "Secret of RDS with the keys username and password; rotated every seven days."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}
