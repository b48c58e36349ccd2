select id, last, sex, marital from people
