mod budget;
