output "cluster" {
  description = "The ECS cluster: name and ARN."
  value       = { name = aws_ecs_cluster.this.name, arn = aws_ecs_cluster.this.arn }
}

output "task_definitions" {
  description = "Family and ARN of each task, by its name."
  value       = { for name, task in aws_ecs_task_definition.this : name => { family = task.family, arn = task.arn } }
}

output "role_arns" {
  description = "Roles that whoever starts a task passes on."
  value       = concat([aws_iam_role.execution.arn], [for role in aws_iam_role.task : role.arn])
}

output "log_group" {
  description = "Log group of the steps: name and ARN."
  value       = { name = aws_cloudwatch_log_group.this.name, arn = aws_cloudwatch_log_group.this.arn }
}

output "spark" {
  description = "The Spark application and the role of its jobs; null without it."
  value       = one([for app in aws_emrserverless_application.this : { id = app.id, arn = app.arn, role_arn = aws_iam_role.spark[0].arn }])
}
