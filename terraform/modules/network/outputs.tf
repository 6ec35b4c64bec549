output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Addresses of the VPC."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Subnets of the load balancer."
  value       = [for zone in var.availability_zones : aws_subnet.public[zone].id]
}

output "private_subnet_ids" {
  description = "Subnets of everything else."
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]
}

output "task_security_group_id" {
  description = "Security group that every step and service wears."
  value       = aws_security_group.tasks.id
}
