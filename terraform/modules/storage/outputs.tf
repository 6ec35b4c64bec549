output "buckets" {
  description = "Name of each bucket by role: lake, artifacts, bundle, queries, logs."
  value       = { for role, bucket in aws_s3_bucket.this : role => bucket.bucket }
}

output "bucket_arns" {
  description = "ARN of each bucket by role."
  value       = { for role, bucket in aws_s3_bucket.this : role => bucket.arn }
}

output "predictions_table" {
  description = "DynamoDB table of the mirror: name and ARN."
  value       = { name = aws_dynamodb_table.predictions.name, arn = aws_dynamodb_table.predictions.arn }
}

output "home" {
  description = "Shared files of the tasks: file system and access point, by id and ARN."
  value = {
    file_system_id   = aws_efs_file_system.home.id
    file_system_arn  = aws_efs_file_system.home.arn
    access_point_id  = aws_efs_access_point.home.id
    access_point_arn = aws_efs_access_point.home.arn
  }
}

output "athena" {
  description = "Where to ask: database and workgroup."
  value       = { database = aws_glue_catalog_database.this.name, workgroup = aws_athena_workgroup.this.name }
}
