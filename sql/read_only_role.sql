-- The role that smelt reads the clinical database with. Run as a superuser or the database's owner, once per database:
--
--   psql -d ehr -v role=smelt -v schema=hosp -f read_only_role.sql
--
-- Repeat it for each further schema. Safe to run again. The password is set apart, so that it stands in no file:
--
--   psql -d ehr -c '\password smelt'

\set ON_ERROR_STOP on
\if :{?role} \else \set role smelt \endif
\if :{?schema} \else \set schema public \endif

begin;

select format('create role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls', :'role')
where not exists (select from pg_roles where rolname = :'role') \gexec

-- Reading, and nothing else. Tables made later by whoever runs this file are included.
select format('grant connect on database %I to %I', current_database(), :'role') \gexec
grant usage on schema :"schema" to :"role";
grant select on all tables in schema :"schema" to :"role";
alter default privileges in schema :"schema" grant select on tables to :"role";

-- Since when other sessions' transactions are open. Without it the time that the next incremental export starts from
-- is put back by a margin whenever somebody else is writing. It also shows the text of running statements; leave it
-- out if that is not wanted, exports stay correct.
grant pg_read_all_stats to :"role";

-- Whatever a session asks for, it begins read-only.
alter role :"role" set default_transaction_read_only = on;

-- A guest does not queue for locks for long: while it waits, others queue behind it.
alter role :"role" set lock_timeout = '10s';

-- A reader that hangs between statements is ended. smelt lifts this for the one connection that holds the snapshot.
alter role :"role" set idle_in_transaction_session_timeout = '15min';

-- No statement runs longer than a night. A full export reads a table in one statement.
alter role :"role" set statement_timeout = '8h';

-- smelt opens at most max_connections (8 by default) at a time; leave room for two exports.
alter role :"role" connection limit 20;

commit;

-- What the role can now change; nothing should be listed. (What PUBLIC may do, the role may do.)
select c.oid::regclass as "writable"
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and has_table_privilege(:'role', c.oid, 'insert, update, delete, truncate');
