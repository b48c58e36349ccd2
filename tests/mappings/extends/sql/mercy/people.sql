select id, upper(last) as last, sex, marital from people where id > 1
