output "settings" {
  description = "RISKCAST_ settings by role, as the containers and DAGs are told them; secrets are injected by ECS and stand nowhere here."
  value = {
    step    = merge(local.step_settings, { RISKCAST_HOME = "/var/lib/riskcast" })
    dag     = local.dag_settings
    blue    = merge(local.common_settings, module.serving.router_settings, { RISKCAST_HOME = "/var/lib/riskcast", RISKCAST_SLOT = "blue", RISKCAST_HOST = "0.0.0.0" })
    green   = merge(local.common_settings, module.serving.router_settings, { RISKCAST_HOME = "/var/lib/riskcast", RISKCAST_SLOT = "green", RISKCAST_HOST = "0.0.0.0" })
    rollout = merge(local.common_settings, module.serving.router_settings, { RISKCAST_HOME = "/var/lib/riskcast" })
    move    = merge(local.step_settings, var.deployment == "weighted" ? module.serving.router_settings : {}, { RISKCAST_HOME = "/var/lib/riskcast" })
  }
}

output "urls" {
  description = "Where the API, MLflow, the dashboard and Airflow answer."
  value       = merge(module.serving.urls, { airflow = module.orchestrator.airflow_url })
}

output "dns_name" {
  description = "Name of the load balancer, for records you keep yourself."
  value       = module.serving.dns_name
}

output "routing" {
  description = "What moves traffic between the colours."
  value       = module.serving.routing
}

output "cluster" {
  description = "ECS cluster."
  value       = module.compute.cluster
}

output "task_definitions" {
  description = "Task definition of each step and pipeline."
  value       = module.compute.task_definitions
}

output "services" {
  description = "ECS service and task family of each container."
  value       = { names = module.serving.services, families = module.serving.task_families }
}

output "network" {
  description = "Where a task is started by hand: subnets and security group."
  value       = { subnets = module.network.private_subnet_ids, security_group = module.network.task_security_group_id }
}

output "buckets" {
  description = "Buckets by role."
  value       = module.storage.buckets
}

output "athena" {
  description = "Where to ask the tables."
  value       = module.storage.athena
}

output "repositories" {
  description = "Address of each image."
  value       = module.registry.repository_urls
}

output "push_role_arn" {
  description = "Role of the workflows; null without a GitHub repository."
  value       = try(module.registry.push_role.arn, null)
}

output "spark" {
  description = "EMR Serverless application; null without it."
  value       = module.compute.spark
}

output "user_pool_id" {
  description = "Pool to invite people into."
  value       = module.serving.user_pool_id
}
