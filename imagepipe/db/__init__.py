"""The database: schema, one repository per noun, Database.run(operation).

The only importer of SQLAlchemy and alembic (with jobs, for TaskFlow's own
persistence). Repositories take and return domain objects, raise our errors
and never commit. No policy, no HTTP, no store in here.
"""
