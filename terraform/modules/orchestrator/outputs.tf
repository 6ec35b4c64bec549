output "airflow_url" {
  description = "Page of Airflow; null with the scheduler."
  value       = one([for environment in aws_mwaa_environment.this : "https://${environment.webserver_url}"])
}

output "schedules" {
  description = "Schedule of each pipeline; empty with MWAA, whose DAGs carry their own."
  value       = { for name, schedule in aws_scheduler_schedule.this : name => schedule.schedule_expression }
}

output "role_arn" {
  description = "Role that starts steps."
  value       = one(concat(aws_iam_role.airflow[*].arn, aws_iam_role.scheduler[*].arn))
}

output "unstarted_queue" {
  description = "Queue of runs the scheduler could not start; null with MWAA."
  value       = one(aws_sqs_queue.unstarted[*].name)
}
