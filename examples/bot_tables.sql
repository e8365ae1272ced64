-- The bot's two tables as this server needs them, for a trial beside a bot of one's own; SQLite and PostgreSQL read it alike:
--   sqlite3 data/aisha.db < examples/bot_tables.sql
--   psql postgresql://aisha@127.0.0.1/aisha -f examples/bot_tables.sql
-- What each column is for: docs/bot-database.md. On SQLite `aisha-webhook migrate` makes both tables by itself.

CREATE TABLE IF NOT EXISTS users (
  id uuid PRIMARY KEY,
  telegram_id varchar(50) UNIQUE,
  first_name varchar(64),
  last_name varchar(64),
  username varchar(64),
  language_code varchar(8) DEFAULT 'ru',
  is_blocked boolean NOT NULL DEFAULT false,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS avatars (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id),
  name varchar(100) NOT NULL,
  training_type varchar(32) NOT NULL DEFAULT 'portrait', -- or: style
  status varchar(32) NOT NULL DEFAULT 'draft', -- then: training; the server writes: completed, error
  fal_request_id varchar(255), -- what fal answered to the submission
  finetune_id varchar(255),
  diffusers_lora_file_url varchar(500),
  config_file_url varchar(500),
  training_progress int DEFAULT 0,
  training_started_at timestamptz,
  training_completed_at timestamptz,
  training_error text,
  avatar_data json,
  fal_response_data json,
  last_status_check timestamptz,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS ix_avatars_fal_request_id ON avatars (fal_request_id);
