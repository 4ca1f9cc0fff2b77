-- AlterTable
ALTER TABLE "User" ADD COLUMN "limits" JSONB NOT NULL DEFAULT '{"seats": {"max": 3}}';
