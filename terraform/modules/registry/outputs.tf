output "repository_urls" {
  description = "Address of each image without its tag."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.repository_url }
}

output "repository_arns" {
  description = "ARN of each repository, by image."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.arn }
}

output "push_role" {
  description = "Role of the workflows that push: name and ARN; null without a GitHub repository."
  value       = one([for role in aws_iam_role.push : { name = role.name, arn = role.arn }])
}
