-- lancio: requires server >= 15
-- lancio: requires service redis env REDIS_URL
-- lancio: wants service smtp
SELECT 1;
